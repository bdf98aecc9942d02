// Package events tests the events that each flow writes, and what administrators see of them.
package events
