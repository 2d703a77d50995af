"""A table of conditions: the section of the standard, what is sent, what must come. Each row is one."""

import concurrent.futures

# Rows tried at once: most of a row's time is waiting.
TOGETHER = 8


class Table:
    """Rows in the order in which they were written.

    `known` marks a row that is not met: how what comes instead begins, and why. A row that is met, or missed in another
    way, must lose its mark.
    """

    def __init__(self):
        self.rows = []

    def row(self, section, sent, act, comes, known=None, **opening):
        """`act(peer)` sends; `comes(peer)` gives None, or what came instead; `opening` goes to the peer's maker."""
        self.rows.append((section, sent, act, comes, known, opening))

    def judge(self, open_peer):
        """Tries every row on a peer of its own. Gives the rows that are not as the table has them."""
        with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
            outcomes = list(pool.map(lambda row: attempt(row, open_peer), self.rows))
        wrong, known = [], []
        for (section, sent, _, comes, mark, _), outcome in zip(self.rows, outcomes):
            line = f"RFC {section}: {sent}: {comes.__name__} must come, but {outcome or 'it does'}"
            if mark is not None and outcome is not None and outcome.startswith(mark[0]):
                known.append(f"{line} (known: {mark[1]})")
            elif mark is not None:
                wrong.append(f"{line} (and not what its mark says: {mark[0]})")
            elif outcome is not None:
                wrong.append(line)
        return wrong, known


def attempt(row, open_peer):
    _, _, act, comes, _, opening = row
    try:
        peer = open_peer(**opening)
    except Exception as error:  # a peer that cannot even be opened is an outcome like others
        return f"no connection: {error!r}"
    try:
        act(peer)
        return comes(peer)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        peer.close()


def named(name):
    """Gives an expectation the name by which a report calls it."""

    def mark(function):
        function.__name__ = name
        return function

    return mark
