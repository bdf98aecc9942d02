package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// WriteJSON writes v as a JSON response. It writes nothing if v can't be marshalled,
// so that the error it returns can still be written. The response is no-store
// unless the handler has set another Cache-Control.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("marshal the answer: %w", err)
	}
	writeBody(w, status, "application/json", body)
	return nil
}

// writeBody writes a whole response, with the newline that makes it pleasant to
// read in a terminal. A client that has gone is not an error: the log line says
// how many bytes it took.
func writeBody(w http.ResponseWriter, status int, contentType string, body []byte) {
	body = append(body, '\n')
	h := w.Header()
	h["Content-Type"] = []string{contentType}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
