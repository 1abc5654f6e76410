"""What the features draw with: charts, contact sheets, and the runs that make the pictures."""
