DROP TABLE queue_policies;
