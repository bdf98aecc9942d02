package web

import (
	"context"
	"io"
	"net/http"
	"time"
)

// downloadMost is how long a download may take, and downloadPiece how long one piece of it: whoever reads more slowly is taken
// for gone.
const (
	downloadMost  = time.Hour
	downloadPiece = 30 * time.Second
)

// Download answers with a file that is written as it is made: nothing of it is kept, here or in caches.
func Download(w http.ResponseWriter, r *http.Request, contentType, name string, write func(ctx context.Context, w io.Writer) error) error {
	ctx, cancel := Patient(w, r, downloadMost)
	defer cancel()
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "no-store")
	return write(ctx, &pieces{w, http.NewResponseController(w)})
}

// pieces gives each piece of an answer a time of its own.
type pieces struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (p *pieces) Write(b []byte) (int, error) {
	_ = p.c.SetWriteDeadline(time.Now().Add(downloadPiece)) // a writer that is no connection has none
	return p.w.Write(b)
}
