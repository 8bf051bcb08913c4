"""Files: local disks, s3:// and gs:// behind one layer, where everything stands in the store, and in which columns."""
