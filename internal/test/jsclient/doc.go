// Package jsclient tests clients/js in a real browser, with four tabs and a network that loses
// answers, and in Node.
package jsclient
