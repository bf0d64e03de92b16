package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/go-retryablehttp"
)

// credential is who a request is sent as.
type credential interface {
	// token is valid for repository ("owner/name"), under the installation that GitHub counts its requests by.
	token(ctx context.Context, repository string) (token string, installation int64, err error)
	// rejected notes that GitHub answered 401 to token and says whether a new one might be accepted.
	rejected(repository, token string) bool
}

// fixedToken is a credential that somebody else made, and that cannot be renewed.
type fixedToken string

func (t fixedToken) token(context.Context, string) (string, int64, error) {
	return string(t), ownLane, nil
}
func (fixedToken) rejected(string, string) bool { return false }

// call is one request to the API.
type call struct {
	method     string
	path       string // below the base address, escaped
	query      url.Values
	repository string // decides the credential, unless bearer is set
	bearer     string // an App's JWT: not renewed, and not a write in GitHub's sense
	body       any    // sent as JSON unless nil
	recheck    func(context.Context) error

	permission string                       // what it needs, for who may grant it
	precedes   bool                         // a look-up that is in vain while nothing may be created
	urgency    urgency                      // of a write
	maxBytes   int64                        // of the answer; 0 means maxBodyBytes
	slim       func([]byte) ([]byte, error) // what of an answer is decoded and remembered; nil: all
	more       *bool                        // set to whether GitHub says that a list goes on; a full page may be news to it
}

func (cl call) write() bool { return cl.method != http.MethodGet && cl.bearer == "" }

// creates reports whether cl makes something new, which GitHub limits by the hour; an update does not.
func (cl call) creates() bool { return cl.method == http.MethodPost && cl.write() }

// do sends cl and decodes the answer into out. A rejected token is renewed once.
func (c *Client) do(ctx context.Context, cl call, out any) error {
	token, installation := cl.bearer, int64(ownLane)
	for renewed := false; ; renewed = true {
		if cl.bearer == "" {
			var err error
			if token, installation, err = c.credential.token(ctx, cl.repository); err != nil {
				return err
			}
		}
		body, err := c.send(ctx, cl, token, c.lanes.of(installation))
		if err == nil {
			return decode(cl, body.body, body.more, out)
		}
		refused, ok := errors.AsType[*APIError](err)
		unauthorized := ok && refused.Status == http.StatusUnauthorized && cl.bearer == ""
		if !unauthorized || !c.credential.rejected(cl.repository, token) || renewed {
			return cl.named(err)
		}
	}
}

func decode(cl call, body []byte, more bool, out any) error {
	if cl.more != nil {
		*cl.more = more
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("decoding the answer to %s %s: %w", cl.method, cl.path, err)
	}
	return nil
}

// send waits for its turn in the lane, sends cl with its retries, and returns a 2xx answer.
func (c *Client) send(ctx context.Context, cl call, token string, in *lane) (answer, error) {
	t := &tries{client: c, lane: in, write: cl.write(), creates: cl.creates(), precedes: cl.precedes, urgency: cl.urgency, recheck: cl.recheck}
	if err := t.enter(ctx); err != nil {
		if limited, ok := errors.AsType[*RateLimitedError](err); ok {
			return answer{}, limited
		}
		return answer{}, fmt.Errorf("%s %s: waiting for its turn: %w", cl.method, cl.path, err)
	}
	defer t.done()
	return c.exchange(ctx, cl, token, t)
}

func (c *Client) exchange(ctx context.Context, cl call, token string, t *tries) (answer, error) {
	req, err := c.request(ctx, cl, token)
	if err != nil {
		return answer{}, err
	}
	address := req.URL.String()
	cached, known := c.etags.lookup(address)
	if known && cl.method == http.MethodGet {
		req.Header.Set("If-None-Match", cached.etag)
	}
	started := c.now()
	resp, err := t.retrying().Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", cl.method, cl.path, withoutURL(err))
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up: nothing is left to lose
	c.logger.Debug("github answered", "phase", cl.method+" "+cl.path, "reason", resp.Status, "duration", c.now().Sub(started))
	body, err := readCapped(resp.Body, cl.maxBytes)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: reading the answer: %w", cl.method, cl.path, err)
	}
	switch {
	case t.limited > 0:
		return answer{}, &RateLimitedError{RetryAfter: t.limited}
	case resp.StatusCode == http.StatusNotModified && known:
		// The last full page stays as it is when another one comes after it.
		cached.more = cached.more || hasNext(resp.Header)
		return cached, nil
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return answer{}, apiErrorFrom(resp, cl.method, cl.path, body)
	}
	if cl.slim != nil {
		if body, err = cl.slim(body); err != nil {
			return answer{}, fmt.Errorf("decoding the answer to %s %s: %w", cl.method, cl.path, err)
		}
	}
	got := answer{etag: resp.Header.Get("Etag"), body: body, more: hasNext(resp.Header)}
	if cl.method == http.MethodGet {
		c.etags.store(address, got)
	}
	return got, nil
}

// hasNext reports whether a list goes on. A page may be shorter than asked for and not the last.
// https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
func hasNext(h http.Header) bool {
	return strings.Contains(strings.Join(h.Values("Link"), ","), `rel="next"`)
}

func (c *Client) request(ctx context.Context, cl call, token string) (*retryablehttp.Request, error) {
	address := c.base.String() + cl.path
	if len(cl.query) > 0 {
		address += "?" + cl.query.Encode()
	}
	var body any
	if cl.body != nil {
		encoded, err := json.Marshal(cl.body)
		if err != nil {
			return nil, fmt.Errorf("encoding %s %s: %w", cl.method, cl.path, err)
		}
		body = bytes.NewReader(encoded)
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, cl.method, address, body)
	if err != nil {
		return nil, fmt.Errorf("preparing %s %s: %w", cl.method, cl.path, withoutURL(err))
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("X-Github-Api-Version", apiVersion)
	req.Header.Set("User-Agent", userAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// repositoryPath is /repos/owner/name. What is not exactly two path segments is refused, so that no name from
// outside can reach another endpoint.
func repositoryPath(repository string) (string, error) {
	owner, name, ok := strings.Cut(repository, "/")
	bad := func(s string) bool { return s == "" || s == "." || s == ".." || strings.Contains(s, "/") }
	if !ok || bad(owner) || bad(name) {
		return "", fmt.Errorf("repository %q: want owner/name", repository)
	}
	return "/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name), nil
}

// readCapped reads all of r, which may be at most limit bytes long; 0 means maxBodyBytes.
func readCapped(r io.Reader, limit int64) ([]byte, error) {
	if limit == 0 {
		limit = maxBodyBytes
	}
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, errTooLarge
	}
	return body, nil
}

// boundedHTTP copies from, so that a timeout and a redirect rule can be set without the owner noticing.
func boundedHTTP(from *http.Client) *http.Client {
	bounded := http.Client{}
	if from != nil {
		bounded = *from
	}
	if bounded.Timeout <= 0 || bounded.Timeout > requestTimeout {
		bounded.Timeout = requestTimeout
	}
	return &bounded
}
