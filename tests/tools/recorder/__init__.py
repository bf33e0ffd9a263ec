"""A libkrun that writes down its calls, made by cc from the API table; and a KVM that pretends.

The recorder counts and decodes calls. That something boots is shown only by booting it.
"""
