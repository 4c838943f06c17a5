"""The report of one training run, as a page for people who were not there."""

from training.report.page import REPORT, page, renew, write

__all__ = ["REPORT", "page", "renew", "write"]
