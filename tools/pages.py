"""Jupyter-book's command line, without the garbage collector.

    python tools/pages.py build PAGES --path-output FOLDER ...

Half a million nodes of pages are made and kept, and a third of the time went into looking through
them for what could go. A build takes 3 GiB instead, and gives them back at its end.
"""

import gc

from jupyter_book.cli.main import main

if __name__ == "__main__":
    gc.disable()
    main()
