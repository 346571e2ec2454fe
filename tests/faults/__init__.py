"""What the server survives: the faults, each with its promise and the figure that was measured.

    rows.py       ROWS: every fault and what must hold, with its bound
    figures.py    figure(row, promise, measured, tries): said, kept, and held against the bound
    recorder.py   what each client sent and what came back; what is right and what is wrong
    checker.py    finish(row, history, followers, …): the end of a run, where all of it must hold
    load.py       writers that go on while something breaks, over REST or (speaker.py) Socket.IO
    reads.py      readers that do, over REST
    follower.py   listeners that come back and resume
    delays.py     how long events took, of every write
    tries.py      a test of bad input is a try, whether it passes or fails
    form.py       short forms for `make test`, long ones for `make soak`; seeds
    soak.py       `make soak`: all of them, and the table in docs/reliability.md

A test says which rows it is of by `@pytest.mark.fault("row")`, wherever it is: those of a whole
installation are in tests/cluster, and some are beside others of their subject.

In each run of a fault one recorder has every write and one checker looks at the whole of it; of
bad input it is asked what comes back.  These faults have no such run, or not in every test:

    refused    there is no server that anybody could write to
    logins     nobody writes: 50 sign in, and one who is there is answered all along
    slow       of the writes, hundreds in each request, no more is asked than whom they reached: the
               readers' sessions are held against the log by the checker's own functions
    sight      who is put out or hears of it elsewhere: that nothing more comes is looked at by one
               write on purpose; of the test in which a role changes all is recorded
"""
