# SPDX-License-Identifier: Apache-2.0
"""What runs outside Python: Yosys, ABC, OpenSTA, nextpnr, simulators; and where results are kept.

It knows no circuit: it is given Verilog, files and functions.
"""
