"""What each step of a run did."""

from .node import LMLReport as LMLReport
from .node import LMLReportCustom as LMLReportCustom
