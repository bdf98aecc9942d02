// Package pages tests the pages in a real browser, and what a mail scanner does to the links.
package pages
