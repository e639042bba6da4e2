"""What the server's pages share: how their files are handed out, and the files that all of them load."""

from trimtab.serving.pages.page import SHARED as SHARED
from trimtab.serving.pages.page import Page as Page
from trimtab.serving.pages.page import routes as routes
