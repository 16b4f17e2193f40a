require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment", "variables"];

# Who empties Junk into Trash does not say that it was ham.
if environment :matches "imap.mailbox" "*" {
  set "mailbox" "${1}";
}
if string "${mailbox}" "Trash" {
  stop;
}
if environment :matches "imap.user" "*" {
  set "user" "${1}";
}
pipe :copy "hamlet-learn" ["ham", "${user}"];
