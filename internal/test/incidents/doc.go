// Package incidents tests what is done about an incident, on a server that runs.
package incidents
