"""What each sender's documents mean. One file per source, pure: no database, no Django, no clock."""
