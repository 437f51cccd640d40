"""The faces of a report: terminal, one HTML page, PDF, CSV, SARIF; the JSON is `findings.report`."""
