-- Of users only the newest contact record is kept, under `user:<id>`: what was corrected or deleted
-- is gone. An e-mail address belongs to one user, however it is written.
create unique index contacts_user_email on contacts (lower(data ->> 'email'))
  where subject_id like 'user:%' and data ->> 'email' is not null;
