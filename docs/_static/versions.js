// The versions beside this one, newest first. docs/add_version.py writes this file again in a site of several versions.
window.docsVersions = [];
