"""Jupyter-book's command line, without the garbage collector.

    python tools/pages.py build PAGES --path-output FOLDER ...

Pages are trees whose nodes point at their parents, and a third of the time went into looking for
those that could go. A build takes 3 GB instead, and gives them back at its end.
"""

import gc

from jupyter_book.cli.main import main

if __name__ == "__main__":
    gc.disable()
    main()
