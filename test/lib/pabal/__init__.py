# SPDX-License-Identifier: ISC
"""What the system tests are made of: servers, peers and clients as objects."""
