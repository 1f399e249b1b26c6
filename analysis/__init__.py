# SPDX-License-Identifier: Apache-2.0
"""What it costs and what it is worth: tables, figures, the report.

Imports `golden` and `hdl.configs`; what was simulated it reads from reports on disk.
"""
