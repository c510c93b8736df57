# Reads the mbox and the Maildir in the folder that standard input names, by Python's own mailbox module, and writes what it
# finds, a mail a line: folder, subject, flags.
import mailbox
import os
import sys

top = sys.stdin.read()
for name in sorted(os.listdir(os.path.join(top, "mbox"))):
    for m in mailbox.mbox(os.path.join(top, "mbox", name), create=False):
        print("mbox", name[:-len(".mbox")], m["Subject"], "".join(sorted(m.get_flags().replace("O", ""))), sep="|")
box = mailbox.Maildir(os.path.join(top, "maildir"), create=False)
for folder, name in [(box, "Inbox")] + [(box.get_folder(n), n) for n in sorted(box.list_folders())]:
    for m in folder:
        flags = "".join(sorted(c for c in m.get_flags() if c in "DFRST"))
        print("maildir", name, m["Subject"], flags, sep="|")
