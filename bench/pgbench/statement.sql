-- The same rows, numbered by the counter, but that the log is written by one statement which travels
-- together with the commit: nobody keeps the counter while a client thinks.
\set user random(2, 101)
BEGIN;
INSERT INTO tasks (title, description, status, priority, due_date, user_id, created_by, assigned_to, created_at, updated_at, version) VALUES (:title::VARCHAR, :description::VARCHAR COLLATE "C", :status::VARCHAR, :priority::VARCHAR, NULL::VARCHAR, :user::INTEGER, :user::INTEGER, NULL::INTEGER, :now::VARCHAR, :now::VARCHAR, 1::INTEGER) RETURNING tasks.id, tasks.title, tasks.description, tasks.status, tasks.priority, tasks.due_date, tasks.user_id, tasks.created_by, tasks.assigned_to, tasks.created_at, tasks.updated_at, tasks.version \gset made_
\startpipeline
WITH head AS (UPDATE log_head SET seq = seq + 1 WHERE id = 1 RETURNING seq), logged AS (INSERT INTO events (seq, type, task_id, actor_id, data, changes, rooms, created_at) SELECT head.seq, :type::VARCHAR, :made_id::INTEGER, :user::INTEGER, :data::JSON, :changes::JSON, :rooms::JSON, :now::VARCHAR FROM head RETURNING events.seq) INSERT INTO event_rooms (room, seq) SELECT :room::VARCHAR, logged.seq FROM logged RETURNING seq;
COMMIT;
\endpipeline
