package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Page sizes of ECR's ListImages, which its tags/list follows.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImages.html
const (
	defaultPage = 100
	maxPage     = 1000
)

// putManifest stores a manifest unless that would move an immutable tag.
// The same digest under the same tag is accepted again (201), as a second
// docker push of one image is; the PutImage API's ImageAlreadyExistsException
// has no counterpart in the distribution protocol.
func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, t target) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxManifestBytes))
	if err != nil {
		writeError(w, http.StatusBadRequest, "SIZE_INVALID", "reading the manifest: "+err.Error())
		return
	}
	sum := sha256.Sum256(body)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	byDigest := strings.Contains(t.reference, ":")
	if byDigest && t.reference != digest {
		writeError(w, http.StatusBadRequest, "DIGEST_INVALID", fmt.Sprintf("digest mismatch: got %s, want %s", digest, t.reference))
		return
	}

	r.putMu.Lock()
	defer r.putMu.Unlock()
	old := r.digest(t.repository, t.reference)
	if !byDigest && old != "" && old != digest && r.config.Immutable && !r.config.Mutable(t.repository, t.reference) {
		writeError(w, http.StatusBadRequest, "TAG_INVALID", fmt.Sprintf(
			"The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.",
			t.reference, t.repository))
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	answer := record(r.inner, req)
	if answer.status == http.StatusCreated && old != digest {
		r.CreateRepository(t.repository)
		if err := r.keep(entry{t.repository, t.reference, req.Header.Get("Content-Type"), body}); err != nil {
			writeError(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
			return
		}
	}
	answer.writeTo(w)
}

// deleteManifest removes a tag, or a digest together with every tag on it.
func (r *Registry) deleteManifest(w http.ResponseWriter, req *http.Request, t target) {
	r.putMu.Lock()
	defer r.putMu.Unlock()
	gone := []string{t.reference}
	if strings.Contains(t.reference, ":") {
		for _, tag := range r.tags(t.repository) {
			if r.digest(t.repository, tag) == t.reference {
				gone = append(gone, tag)
			}
		}
	}
	answer := record(r.inner, req)
	if answer.status == http.StatusAccepted {
		for _, reference := range gone {
			r.ask(http.MethodDelete, t.repository, "manifests", reference)
			if err := r.keep(entry{Repository: t.repository, Reference: reference}); err != nil {
				writeError(w, http.StatusInternalServerError, "UNKNOWN", err.Error())
				return
			}
		}
	}
	answer.writeTo(w)
}

// serveTags lists a repository's tags in lexical order, one page at a time.
func (r *Registry) serveTags(w http.ResponseWriter, req *http.Request, repository string) {
	answer := r.ask(http.MethodGet, repository, "tags", "list")
	if answer.status != http.StatusOK {
		r.mu.Lock()
		empty := r.repositories[repository]
		r.mu.Unlock()
		if !empty {
			answer.writeTo(w)
			return
		}
	}
	n := defaultPage
	if s := req.URL.Query().Get("n"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 || n > maxPage {
			writeError(w, http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", fmt.Sprintf("invalid number of results requested: got %q, want 1 to %d", s, maxPage))
			return
		}
	}
	tags := r.tags(repository)
	if last := req.URL.Query().Get("last"); last != "" {
		i, found := slices.BinarySearch(tags, last)
		if found {
			i++
		}
		tags = tags[i:]
	}
	if len(tags) > n {
		tags = tags[:n]
		next := url.Values{"last": {tags[n-1]}, "n": {strconv.Itoa(n)}}
		w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?%s>; rel="next"`, repository, next.Encode()))
	}
	writeJSON(w, http.StatusOK, struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{repository, tags})
}

// tags returns every tag of a repository, sorted; empty if there is none.
func (r *Registry) tags(repository string) []string {
	var list struct{ Tags []string }
	answer := r.ask(http.MethodGet, repository, "tags", "list")
	if answer.status != http.StatusOK || json.Unmarshal(answer.body.Bytes(), &list) != nil || list.Tags == nil {
		return []string{}
	}
	slices.Sort(list.Tags)
	return list.Tags
}

// digest returns what a reference points at, or "".
func (r *Registry) digest(repository, reference string) string {
	return r.ask(http.MethodHead, repository, "manifests", reference).header.Get("Docker-Content-Digest")
}

func (r *Registry) ask(method, repository, class, reference string) *answer {
	return record(r.inner, &http.Request{
		Method: method,
		URL:    &url.URL{Path: "/v2/" + repository + "/" + class + "/" + reference},
		Header: http.Header{},
		Body:   http.NoBody,
	})
}

// answer is a response held in memory, for handlers that must look first.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func record(h http.Handler, req *http.Request) *answer {
	a := &answer{status: http.StatusOK, header: http.Header{}}
	h.ServeHTTP(a, req)
	return a
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (a *answer) writeTo(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // the client may be gone; there is no one to tell
}
