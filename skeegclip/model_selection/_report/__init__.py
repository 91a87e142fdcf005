"""From ranks to the tables and pages of a report."""
