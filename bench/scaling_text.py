"""The prose of docs/scaling.md: what is true whichever way the numbers go."""

# ruff: noqa: E501, RUF001 - formulae and tables stay on their line

DOCUMENT = """# How far it goes past one process

Made by `make bench-scaling` (`bench/scaling.py`) on {date}: {machine}.

{versions}

Medians of {rounds}, in brackets the lowest and the highest; within a round everything is
measured in turn. All parts are real and share these {cores} cores: the processes (`python app.py`
on eventlet, `TASK_VISIBILITY=team`, no rate limits), PostgreSQL with `fsync` and
`full_page_writes` on, Redis, and the load client, which is one thread in C (`bench/load.c`).
{remark}
![Writes, the counter's row, and the model](scaling.png)

## From a change on one process to a client on another

Two processes on one PostgreSQL. The load client posts tasks to the first and holds raw WebSockets
on the second; one clock (`CLOCK_MONOTONIC` of the client) times both. *From the request sent*: from
before the `write()` of `POST /tasks` to after the `read()` that brought the event, for every client
and event. *From the answer*: from after the `read()` of the 201 to after the `read()` of the last
client's event, 0 where the event was first. The commit lies between request and answer, so the
delay from the commit on lies between these two. *Paced*: one change every 23 ms (47 ms by the poll,
which comes once a second). *Burst*: over 16 connections as fast as they are answered, until the
last event has come.

{delays}
## Writes a second

`POST /tasks` over 16 connections to each process, all of whose clients are the load client's; the
processes tell one another by Redis, and each reads what the others wrote. Whether a write has the
counter's row was looked at 50 times a second in `pg_stat_activity`; the share of looks is its
utilisation, and utilisation divided by throughput is how long each write keeps it.

{writes}
{most} processes write {more} times what one does here, where all of it has {cores} cores. A part
whose share is near 1 is what bounds a column: the counter's row when its share is, the machine when
the CPU of a write times the writes is near {cores} cores. A write that is kept from the CPU while
it has the row keeps the row for longer: that is how one bound makes the other.

## What the counter's row costs

The statements of `task.create` by pgbench (`bench/pgbench/`, prepared, one thread), which has no
Python in it: PostgreSQL's own ceiling on this machine. *Counter*: exactly what the server sends,
which is checked in each run against what PostgreSQL saw of it. *Sequence*: the same, but
`nextval()` gives the number, so that nobody waits for anybody; the order of its numbers is not that
of the commits and has holes, so it is no log to resume from. *One statement*: numbered by the
counter, but the statement that appends to the log travels together with the commit, so that the
row is kept for no round trip. Writes a second:

{counter}
## What one write and one event cost

Counted by `pg_stat_statements` (each process has a login of its own), `ss` and
`/proc/<pid>/task/*/schedstat`. A process that only listens reads every event of the others, whoever
its clients are.

{one}
## The model

Each part has a *service demand* `D`, the seconds it is busy with one write. Its utilisation is
`U = X · D` at `X` writes a second, and `U ≤ 1`; so `X ≤ (1 − idle) / D`, and the part with the
largest demand gives way first (`bench/model.py`; the laws are Denning and Buzen's, 1978). With `N`
processes that share the writes evenly, `b` events to a read, and `a` clients who get each event:

- a process, which has a core of its own: `D = write / N + (1 − 1/N) · (row + read / b) + a / N · message`
- PostgreSQL, with `C` cores: `D = (pg_write + (N − 1) · (pg_row + pg_read / b)) / C`
- the counter's row: `D = hold`, however many processes there are
- Redis, one thread: `D = redis_write + N · redis_told`

The constants, by least squares of the relative errors over everything above, none negative (*off*:
the middle error of what they explain). `hold` is that of paced writes, looked at 100 times a
second: on a site where each process has a core nobody competes with them for it, as the processes
above do here.

{constants}
What they say of the measurements they come from, where the machine is one more part that all share:

{check}
### What 10, 100 and 1 000 processes would do

`C` = {pg_cores}, `a` = {audience}, `b` = 1: each event is read as soon as it is there. Demand in ms,
and the writes a second at which the part is always busy:

{demands}
A process that cannot keep up reads more at once by itself:
{falling_behind}.
The last column is where that ends. Before any of it come connections: a process may have {pool} to
PostgreSQL, so these sites may have {connections}; PostgreSQL's default is 100 in all,
and each is a process there. Past a few hundred a pooler (in transaction mode) or a smaller
`DATABASE_POOL_SIZE` is the first thing to add.

### What lifts it

In turn, each with those above it, by the same formulae; the part that is first then in brackets:

{lifts}
- *The log and the commit in one trip.* {hold} ms with the row for each write is a ceiling of
  {ceiling} writes/s for any number of processes ({crowded} ms where one process with 16 connections
  was seen at it, under load); pgbench, which does not wait for Python between its statements, keeps
  it {alone} ms at one session ({alone_ceiling} writes/s). One statement that takes the number and
  writes the log, sent together with the commit, {trip} ms ({trip_ceiling} writes/s): then nobody
  keeps the row over a round trip.
- *One reader for each 16 processes.* One process reads the log and feeds the others of its host over
  a local socket; PostgreSQL and Redis then see hosts, not processes. It lifts PostgreSQL where it is
  first because of the reads, and Redis. The relay's rule stays: whoever misses a number reads the
  log.
- *The log in 8 parts.* Events concern one team, so each team may have a counter and a log of its
  own, on one database or several, and a process serves some teams only. It divides what a process
  reads, and the counter's row. A client that belongs to several resumes with one number for each.
- *8 writes to a commit.* Writers of one process would wait for one another as they do on SQLite, and
  take the row once for all: it is then kept once for so many. What each adds to that one time is
  left out here, so this is the most it can bring.
- *Numbers given afterwards* would take the row from the way of a write altogether (not in the
  table): writers leave their events without a number, and one process numbers, many in a
  transaction, those whose writers have all ended (`pg_snapshot_xmin`). Writes then come near the
  column *sequence* above; each event waits for the next numbering, and no write can be answered
  with its number.
- *Read replicas.* Lists and single tasks can be read from a standby that has replayed the reader's
  `X-Event-Seq`; it takes reads, which this model has none of, from PostgreSQL and lifts no write.

The row is kept until the commit is on the disk. With a slower disk, or a standby that must confirm:

{slower}
### What the model does not cover

Queues: it says where throughput ends, not how delay grows on the way there. Networks between
machines: a round trip of a statement is within `hold`, and here it is a loopback. PostgreSQL's
own locks, vacuum and checkpoints, memory, and connections beyond some hundreds. Reads of lists,
logins and resumes. That the shares are uneven. The same constants on other processors: they are
CPU seconds of this one, taken while everything shared it. And what was measured ends at four
processes: 10 and more are drawn from the formulae.
"""
