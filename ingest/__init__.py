"""One source -> CaseReports. Knows time and place. Kept empty of imports on purpose."""
