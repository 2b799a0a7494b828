"""The peak of a process's own memory. What `wait4` tells has that of the harness in it, from before the program started."""

import threading
from pathlib import Path


class Peak(threading.Thread):
    """Looks at a process every 20 ms until it has ended."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status, self.bytes, self.ended = Path(f"/proc/{pid}/status"), 0, threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.02):
            try:
                lines = self.status.read_text().splitlines()
            except OSError:
                return
            peak = next((line for line in lines if line.startswith("VmHWM:")), None)
            # After an exec the kernel begins anew, and so does this.
            self.bytes = int(peak.split()[1]) * 1024 if peak else self.bytes

    def stop(self):
        self.ended.set()
        self.join()
        return self.bytes
