package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// WriteJSON answers with v as JSON. It writes nothing if v can't be marshalled,
// so that the error it returns can still be answered. The answer is no-store
// unless the handler has set another Cache-Control.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("marshal the answer: %w", err)
	}
	writeBody(w, status, "application/json", body)
	return nil
}

// writeBody writes a whole answer, with the newline that makes it pleasant to
// read in a terminal. A client that has gone is no error: the log line tells
// how many bytes it took.
func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	body = append(body, '\n')
	h := w.Header()
	h["Content-Type"] = []string{contentType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
