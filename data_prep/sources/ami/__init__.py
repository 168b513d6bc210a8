"""Reads the AMI corpus in the format of the NITE XML Toolkit."""
