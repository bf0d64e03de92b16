package registry

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

// entry is one accepted write: a manifest, or without a Body a deletion.
type entry struct {
	Repository string `json:"repository"`
	Reference  string `json:"reference"`
	MediaType  string `json:"mediaType,omitempty"`
	Body       []byte `json:"body,omitempty"`
}

// journal is the file of all entries, one JSON line each. go-containerregistry
// keeps manifests in memory only; replaying the lines brings them back.
type journal struct{ file *os.File }

// openJournal replays the file into a handler. A last line without its end was
// never acknowledged: it is cut off, or the next entry would be glued to it.
func openJournal(path string, into http.Handler) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the journal of manifests: %w", err)
	}
	whole, err := replay(f, into)
	if err == nil {
		err = f.Truncate(whole)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the journal of manifests: %w", err), f.Close())
	}
	return &journal{f}, nil
}

// replay returns the size of the whole lines, in bytes.
func replay(from io.Reader, into http.Handler) (whole int64, err error) {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		var e entry
		if err == nil {
			err = json.Unmarshal(line, &e)
		}
		if err == nil {
			err = e.replay(into)
		}
		if err != nil {
			return 0, fmt.Errorf("at byte %d: %w", whole, err)
		}
		whole += int64(len(line))
	}
}

func (e entry) replay(into http.Handler) error {
	method := http.MethodPut
	if e.Body == nil {
		method = http.MethodDelete
	}
	path := "/v2/" + e.Repository + "/manifests/" + e.Reference
	got := record(into, &http.Request{
		Method: method,
		URL:    &url.URL{Path: path},
		Header: http.Header{"Content-Type": {e.MediaType}},
		Body:   io.NopCloser(bytes.NewReader(e.Body)),
	})
	if got.status < http.StatusOK || got.status >= http.StatusMultipleChoices {
		return fmt.Errorf("replaying %s %s: got %d %s, want it accepted as it was before", method, path, got.status, bytes.TrimSpace(got.body.Bytes()))
	}
	return nil
}

// keep appends to the journal; callers hold putMu.
func (r *Registry) keep(e entry) error {
	if r.journal == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = r.journal.file.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the journal of manifests: %w", err)
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }
