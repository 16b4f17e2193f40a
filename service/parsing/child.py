"""The process that parses mail for a worker: `python -m service.parsing.child DESCRIPTOR`, started by `process`.

It ends when the worker's end of the socket closes, however the worker ended, and at no signal of a terminal or of a
service manager: those are for the worker, which needs it until its own work is done.
"""

import pickle
import signal
import sys
from multiprocessing.connection import Connection

from classifier.errors import MessageError
from classifier.message import MailFields
from service.parsing.jobs import HELLO, Answer, Failed, Job, Reader, Refused, pack


def main(descriptor: int) -> None:
    """Answer jobs in the order in which they come, until the other end closes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    readers: dict[int, Reader] = {}
    with Connection(descriptor) as worker:
        try:
            worker.send_bytes(HELLO)
            while True:
                job: Job = pickle.loads(worker.recv_bytes())  # noqa: S301 - from the worker, which started this
                if job.reader is not None:
                    readers[job.slot] = job.reader
                worker.send_bytes(pack([_prepare(readers[job.slot], mail) for mail in job.mails]))
        except (EOFError, ConnectionError):
            return


def _prepare(reader: Reader, mail: bytes | MailFields) -> Answer:
    """What is wrong with one mail is its answer and nobody else's."""
    try:
        return reader.prepare(mail)
    except MessageError as error:
        return Refused(error.code, str(error))
    except Exception as error:
        return Failed(repr(error))


if __name__ == "__main__":
    main(int(sys.argv[1]))
