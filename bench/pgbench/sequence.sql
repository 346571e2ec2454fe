-- The same, but that a sequence gives the number: nobody waits for anybody, and the order of the
-- numbers is not that of the commits, nor are they without holes.
\set user random(2, 101)
BEGIN;
INSERT INTO tasks (title, description, status, priority, due_date, user_id, created_by, assigned_to, created_at, updated_at, version) VALUES (:title::VARCHAR, :description::VARCHAR COLLATE "C", :status::VARCHAR, :priority::VARCHAR, NULL::VARCHAR, :user::INTEGER, :user::INTEGER, NULL::INTEGER, :now::VARCHAR, :now::VARCHAR, 1::INTEGER) RETURNING tasks.id, tasks.title, tasks.description, tasks.status, tasks.priority, tasks.due_date, tasks.user_id, tasks.created_by, tasks.assigned_to, tasks.created_at, tasks.updated_at, tasks.version \gset made_
SELECT nextval('bench_seq') AS seq \gset
INSERT INTO events (seq, type, task_id, actor_id, data, changes, rooms, created_at) VALUES (:seq::BIGINT, :type::VARCHAR, :made_id::INTEGER, :user::INTEGER, :data::JSON, :changes::JSON, :rooms::JSON, :now::VARCHAR);
INSERT INTO event_rooms (room, seq) VALUES (:room::VARCHAR, :seq::BIGINT);
COMMIT;
