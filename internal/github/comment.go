package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// maxCommentBytes bounds a comment. GitHub takes 65,536 characters; counting bytes is right whatever it counts.
	maxCommentBytes = 65536

	commentsPerPage = 30

	// maxCommentPages covers the 2,500 comments that GitHub lets a pull request have.
	maxCommentPages = 100

	// maxTaken is how many comments of other Apps may carry our marker before we give up.
	maxTaken = 5

	markerStart = "<!--"
)

// Comment is a comment on a pull request, or an issue, that is kept up to date.
type Comment struct {
	ID         int64  // GitHub's; 0 if not known
	Repository string // owner/name
	Issue      int    // its number; a pull request is one, too
	Marker     string // an HTML comment, in Body too: finds the comment again
	Body       string // Markdown, longer ones are truncated visibly
}

func (m Comment) validate() error {
	if _, err := repositoryPath(m.Repository); err != nil {
		return fmt.Errorf("comment: %w", err)
	}
	switch {
	case m.Issue <= 0:
		return fmt.Errorf("comment in %s: pull request %d is not positive", m.Repository, m.Issue)
	case !strings.HasPrefix(m.Marker, markerStart) || !strings.HasSuffix(m.Marker, "-->"):
		return fmt.Errorf("comment in %s: marker %q: want an HTML comment", m.Repository, m.Marker)
	case !strings.Contains(m.Body, m.Marker):
		return fmt.Errorf("comment in %s: the body lacks its marker %q", m.Repository, m.Marker)
	}
	return nil
}

// UpsertComment makes the comment with m.Marker look like m and returns its id. Without an ID, or if that comment is
// gone, it is looked for by its marker among the comments that this client wrote itself, so that calling it again, even
// after a lost answer, never makes a second one. A body that is the same already is not written again.
//
// Who this client is, a token's user, is asked once. A token that may not ask is an App's, a workflow's own included,
// and does not say which: it takes the oldest of an App with the marker that GitHub lets it change. A person's is never
// touched.
// Errors: [RateLimitedError], [APIError], [ErrNotPermitted].
func (c *Client) UpsertComment(ctx context.Context, m Comment) (int64, error) {
	if err := m.validate(); err != nil {
		return 0, err
	}
	m.Body = shownComment(m)
	id, err := c.upsertComment(ctx, m)
	if err != nil {
		return id, fmt.Errorf("commenting on pull request %d of %s: %w", m.Issue, m.Repository, err)
	}
	return id, nil
}

func (c *Client) upsertComment(ctx context.Context, m Comment) (int64, error) {
	var there commentJSON
	if m.ID != 0 {
		found, err := c.comment(ctx, m)
		if err != nil && !gone(err) {
			return m.ID, err
		}
		there = found
	}
	var others []int64
	for {
		if there.ID == 0 {
			found, err := c.findComment(ctx, m, others)
			if err != nil {
				return 0, err
			}
			there = found
		}
		if there.ID == 0 {
			return c.createComment(ctx, m, others)
		}
		if sameText(there.Body, m.Body) {
			return there.ID, nil
		}
		err := c.updateComment(ctx, m, there.ID)
		switch {
		case gone(err):
			return c.createComment(ctx, m, others)
		case !c.guesses() || !forbidden(err) || len(others) >= maxTaken:
			return there.ID, err
		}
		others = append(others, there.ID) // another App's, then
		there = commentJSON{}
	}
}

// forbidden reports whether GitHub refused with 403, which it does for another author's comment, too.
func forbidden(err error) bool {
	refused, ok := errors.AsType[*APIError](err)
	return ok && refused.Status == http.StatusForbidden
}

// gone reports whether what the error is about was deleted.
func gone(err error) bool {
	refused, ok := errors.AsType[*APIError](err)
	return ok && (refused.Status == http.StatusNotFound || refused.Status == http.StatusGone)
}

func commentPath(m Comment, id int64) (string, error) {
	path, err := repositoryPath(m.Repository)
	return path + "/issues/comments/" + strconv.FormatInt(id, 10), err
}

// comment reads the one of m.ID.
func (c *Client) comment(ctx context.Context, m Comment) (commentJSON, error) {
	path, err := commentPath(m, m.ID)
	if err != nil {
		return commentJSON{}, err
	}
	var found commentJSON
	cl := call{method: http.MethodGet, path: path, repository: m.Repository, permission: pullRequestsWrite}
	err = c.do(ctx, cl, &found)
	if err == nil && found.ID != m.ID {
		err = errors.New("the answer is no comment")
	}
	return found, err
}

// findComment returns the oldest one with the marker that this client wrote, and that is none of others; one without id
// if there is none.
func (c *Client) findComment(ctx context.Context, m Comment, others []int64) (commentJSON, error) {
	path, err := repositoryPath(m.Repository)
	if err != nil {
		return commentJSON{}, err
	}
	query := url.Values{"per_page": {strconv.Itoa(commentsPerPage)}}
	for page, more := 1, true; more && page <= maxCommentPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var list []commentJSON
		cl := call{
			method: http.MethodGet, path: path + "/issues/" + strconv.Itoa(m.Issue) + "/comments", repository: m.Repository, query: query,
			permission: pullRequestsWrite, maxBytes: maxListBytes, slim: slimComments, more: &more, precedes: true,
		}
		if err := c.do(ctx, cl, &list); err != nil {
			return commentJSON{}, err
		}
		for _, one := range list {
			if !strings.Contains(one.Body, m.Marker) || slices.Contains(others, one.ID) {
				continue
			}
			mine, err := c.wrote(ctx, m.Repository, one)
			if err != nil {
				return commentJSON{}, err
			}
			if mine {
				return one, nil
			}
		}
		more = more || len(list) >= commentsPerPage
	}
	return commentJSON{}, nil
}

func (c *Client) createComment(ctx context.Context, m Comment, others []int64) (int64, error) {
	path, err := repositoryPath(m.Repository)
	if err != nil {
		return 0, err
	}
	id, _, err := c.create(ctx, call{
		method: http.MethodPost, path: path + "/issues/" + strconv.Itoa(m.Issue) + "/comments", repository: m.Repository,
		body: map[string]string{"body": m.Body}, permission: pullRequestsWrite,
	}, "comment", func(ctx context.Context) (int64, error) {
		found, err := c.findComment(ctx, m, others)
		return found.ID, err
	})
	return id, err
}

func (c *Client) updateComment(ctx context.Context, m Comment, id int64) error {
	path, err := commentPath(m, id)
	if err != nil {
		return err
	}
	var updated madeJSON
	cl := call{
		method: http.MethodPatch, path: path, repository: m.Repository, body: map[string]string{"body": m.Body},
		permission: pullRequestsWrite,
	}
	err = c.do(ctx, cl, &updated)
	if err == nil {
		err = updated.proof("comment")
	}
	return err
}

type commentJSON struct {
	ID   int64       `json:"id"`
	Body string      `json:"body"`
	User *userJSON   `json:"user"` // null: the account is gone
	App  checkRunApp `json:"performed_via_github_app,omitzero"`
}

type userJSON struct {
	ID   int64  `json:"id"`
	Type string `json:"type,omitempty"` // "Bot": an App
}

// slimComments keeps the bodies that can have a marker.
func slimComments(body []byte) ([]byte, error) {
	var list []commentJSON
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	for i := range list {
		if !strings.Contains(list[i].Body, markerStart) {
			list[i].Body = ""
		}
	}
	return json.Marshal(list)
}

// user is whose token a client has, asked once.
type user struct {
	mu    sync.Mutex
	known bool
	id    int64 // 0: an App's
}

// wrote reports whether this client wrote the comment. Anybody can write our marker into one of theirs.
func (c *Client) wrote(ctx context.Context, repository string, m commentJSON) (bool, error) {
	if c.appID != 0 {
		return m.App.ID == c.appID, nil
	}
	me, err := c.me(ctx, repository)
	if err != nil {
		return false, err
	}
	if me == 0 {
		return m.User != nil && m.User.Type == "Bot", nil // a person writing by an App is none
	}
	return m.User != nil && m.User.ID == me, nil
}

// guesses reports whether this client takes Apps' comments for its own: it knows no better.
func (c *Client) guesses() bool {
	c.user.mu.Lock()
	defer c.user.mu.Unlock()
	return c.appID == 0 && c.user.known && c.user.id == 0
}

// me is the user of the token; 0 for an App's token, which GitHub tells by its refusal.
func (c *Client) me(ctx context.Context, repository string) (int64, error) {
	c.user.mu.Lock()
	defer c.user.mu.Unlock()
	if c.user.known {
		return c.user.id, nil
	}
	var said userJSON
	err := c.do(ctx, call{method: http.MethodGet, path: "/user", repository: repository}, &said)
	if refused, ok := errors.AsType[*APIError](err); ok && refused.Status == http.StatusForbidden {
		err = nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking whose token it is: %w", err)
	}
	c.user.known, c.user.id = true, said.ID
	return said.ID, nil
}

// shownComment keeps the marker where the body is cut.
func shownComment(m Comment) string {
	body := strings.ToValidUTF8(m.Body, "\uFFFD")
	cutBody := cut(body, maxCommentBytes, "\n\n"+truncated)
	if strings.Contains(cutBody, m.Marker) {
		return cutBody
	}
	return cut(body, maxCommentBytes-len(m.Marker)-1, "\n\n"+truncated) + "\n" + m.Marker
}

// sameText ignores what GitHub may change: line ends, and the space around a body.
func sameText(a, b string) bool {
	plain := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return plain(a) == plain(b)
}
