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

func openJournal(path string, into http.Handler) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the journal of manifests: %w", err)
	}
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // a last line without its end was never acknowledged
		}
		var e entry
		if err == nil {
			err = json.Unmarshal(line, &e)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("reading the journal of manifests: %w", err), f.Close())
		}
		e.replay(into)
	}
	return &journal{f}, nil
}

func (e entry) replay(into http.Handler) {
	method := http.MethodPut
	if e.Body == nil {
		method = http.MethodDelete
	}
	record(into, &http.Request{
		Method: method,
		URL:    &url.URL{Path: "/v2/" + e.Repository + "/manifests/" + e.Reference},
		Header: http.Header{"Content-Type": {e.MediaType}},
		Body:   io.NopCloser(bytes.NewReader(e.Body)),
	})
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
