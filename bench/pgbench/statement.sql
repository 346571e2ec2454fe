-- The same, but that the log's statement travels together with the commit: nobody keeps the counter
-- while a client thinks.
\set user random(2, 101)
BEGIN;
INSERT INTO tasks (title, description, status, priority, due_date, user_id, created_by, assigned_to, created_at, updated_at, version) VALUES (:title::VARCHAR, :description::VARCHAR COLLATE "C", :status::VARCHAR, :priority::VARCHAR, NULL::VARCHAR, :user::INTEGER, :user::INTEGER, NULL::INTEGER, :now::VARCHAR, :now::VARCHAR, 1::INTEGER) RETURNING tasks.id, tasks.title, tasks.description, tasks.status, tasks.priority, tasks.due_date, tasks.user_id, tasks.created_by, tasks.assigned_to, tasks.created_at, tasks.updated_at, tasks.version \gset made_
\startpipeline
WITH head AS ( UPDATE log_head SET seq = seq + :number WHERE id = 1 RETURNING seq - :number AS before ), given AS ( SELECT before + list.n AS seq, list.* FROM head, unnest( CAST(:type AS text[]), CAST(:task_id AS integer[]), CAST(:actor_id AS integer[]), CAST(:data AS text[]), CAST(:changes AS text[]), CAST(:rooms AS text[]), CAST(:created_at AS text[]) ) WITH ORDINALITY AS list (type, task_id, actor_id, data, changes, rooms, created_at, n) ), logged AS ( INSERT INTO events (seq, type, task_id, actor_id, data, changes, rooms, created_at, request_id) SELECT seq, type, task_id, actor_id, CAST(data AS json), CAST(changes AS json), CAST(rooms AS json), created_at, CAST(:request_id AS text) FROM given ), told AS ( INSERT INTO event_rooms (room, seq) SELECT room, seq FROM given, json_array_elements_text(CAST(rooms AS json)) AS room ) SELECT before FROM head;
COMMIT;
\endpipeline
