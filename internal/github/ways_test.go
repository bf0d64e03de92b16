package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

const (
	deploymentsPath = "/repos/acme/storefront/deployments"
	statusesPath    = "/repos/acme/storefront/statuses/" + testSHA
	commentsPath    = "/repos/acme/storefront/issues/7/comments"
	ourMarker       = "<!-- inhaul: storefront -->"
)

func rollingOut() Deployment {
	return Deployment{
		Repository: "acme/storefront", SHA: testSHA, Environment: "production", ExternalID: "sha256:aa", Production: true,
		State: "in_progress", Description: "2 of 3 pods\nare ready", EnvironmentURL: "https://shop.example.com", LogURL: "https://log.example.com",
	}
}

func sticky() Comment {
	return Comment{Repository: "acme/storefront", Issue: 7, Marker: ourMarker, Body: ourMarker + "\nLive"}
}

func pending() CommitStatus {
	return CommitStatus{
		Repository: "acme/storefront", SHA: testSHA, Context: "inhaul / production", State: "pending", Description: "Rolling out",
		TargetURL: "https://log.example.com",
	}
}

// nothingYet answers like GitHub where nothing has been written.
func nothingYet(n int, r seen, req *http.Request) (int, http.Header, string) {
	switch {
	case r.method == http.MethodGet && strings.HasSuffix(r.path, "/status"):
		return 200, nil, `{"state":"pending","statuses":[]}`
	case r.method == http.MethodGet && (strings.Contains(r.path, "/deployments") || strings.Contains(r.path, "/comments") || strings.Contains(r.path, "/pulls")):
		return 200, nil, `[]`
	}
	return ordinary(n, r, req)
}

func upserts() map[string]func(context.Context, *Client) error {
	return map[string]func(context.Context, *Client) error{
		"check run": func(ctx context.Context, c *Client) error { _, err := c.UpsertCheckRun(ctx, queued()); return err },
		"deployment": func(ctx context.Context, c *Client) error {
			_, err := c.UpsertDeployment(ctx, rollingOut())
			return err
		},
		"comment":       func(ctx context.Context, c *Client) error { _, err := c.UpsertComment(ctx, sticky()); return err },
		"commit status": func(ctx context.Context, c *Client) error { return c.UpsertStatus(ctx, pending()) },
	}
}

func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ path, want string }{
		"deployment": {deploymentsPath, `{"ref":"` + testSHA + `","auto_merge":false,"required_contexts":[],"payload":{"external_id":"sha256:aa"},` +
			`"environment":"production","description":"2 of 3 pods are ready","transient_environment":false,"production_environment":true}`},
		"deployment status": {deploymentsPath + "/11/statuses", `{"state":"in_progress","description":"2 of 3 pods are ready",` +
			`"environment_url":"https://shop.example.com","log_url":"https://log.example.com","auto_inactive":false}`},
		"comment":       {commentsPath, `{"body":"\u003c!-- inhaul: storefront --\u003e\nLive"}`},
		"commit status": {statusesPath, `{"state":"pending","context":"inhaul / production","description":"Rolling out","target_url":"https://log.example.com"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answer: nothingYet}
				if err := upserts()[strings.Replace(name, "deployment status", "deployment", 1)](t.Context(), tokenClient(t, f)); err != nil {
					t.Fatal(err)
				}
				if got := f.to(http.MethodPost, row.path); len(got) != 1 || got[0].body != row.want {
					t.Errorf("got  %+v\nwant %s", got, row.want)
				}
			})
		})
	}
}

func TestNoWayTakesGarbageForAnAnswer(t *testing.T) {
	t.Parallel()
	for name, write := range upserts() {
		for _, garbage := range []string{"", "{}", "[]", "<html>Please log in</html>"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				if method == http.MethodGet && strings.ContainsAny(garbage, "[]{}") {
					continue // nothing is there
				}
				f := &fake{answer: func(n int, r seen, req *http.Request) (int, http.Header, string) {
					if r.method == method {
						return 200, nil, garbage
					}
					return nothingYet(n, r, req)
				}}
				if err := write(t.Context(), tokenClient(t, f)); err == nil {
					t.Errorf("%s: got no error where %s is answered with %q", name, method, garbage)
				}
			}
		}
	}
}

func TestNoWayIsWrittenByWhoMayNotWriteAnyMore(t *testing.T) {
	t.Parallel()
	lost := errors.New("lost the lease")
	for name, write := range upserts() {
		f := &fake{answer: nothingYet}
		c, err := NewToken(TokenConfig{Token: shortToken, HTTP: f.http(), MayWrite: func() error { return lost }})
		if err != nil {
			t.Fatal(err)
		}
		if err := write(t.Context(), c); !errors.Is(err, lost) || len(f.to(http.MethodPost, "")) != 0 {
			t.Errorf("%s: got %v after %d writes, want %v and none", name, err, len(f.to(http.MethodPost, "")), lost)
		}
	}
}

func TestWhatGitHubWouldRefuseIsNotSent(t *testing.T) {
	t.Parallel()
	deployment := func(change func(*Deployment)) func(context.Context, *Client) error {
		d := rollingOut()
		change(&d)
		return func(ctx context.Context, c *Client) error { _, err := c.UpsertDeployment(ctx, d); return err }
	}
	comment := func(change func(*Comment)) func(context.Context, *Client) error {
		m := sticky()
		change(&m)
		return func(ctx context.Context, c *Client) error { _, err := c.UpsertComment(ctx, m); return err }
	}
	status := func(change func(*CommitStatus)) func(context.Context, *Client) error {
		s := pending()
		change(&s)
		return func(ctx context.Context, c *Client) error { return c.UpsertStatus(ctx, s) }
	}
	annotated := func(a Annotation) func(context.Context, *Client) error {
		run := queued()
		run.Annotations = []Annotation{a}
		return func(ctx context.Context, c *Client) error { _, err := c.UpsertCheckRun(ctx, run); return err }
	}
	for name, write := range map[string]func(context.Context, *Client) error{
		"deployment to another path":        deployment(func(d *Deployment) { d.Repository = "acme/../x" }),
		"deployment to no environment":      deployment(func(d *Deployment) { d.Environment = "" }),
		"deployment of no commit":           deployment(func(d *Deployment) { d.SHA = "" }),
		"deployment without external id":    deployment(func(d *Deployment) { d.ExternalID = "" }),
		"deployment in an unknown state":    deployment(func(d *Deployment) { d.State = "running" }),
		"comment on another path":           comment(func(m *Comment) { m.Repository = "acme" }),
		"comment on no pull request":        comment(func(m *Comment) { m.Issue = 0 }),
		"comment with a visible marker":     comment(func(m *Comment) { m.Marker = "Live" }),
		"comment without its marker":        comment(func(m *Comment) { m.Body = "Live" }),
		"status of another path":            status(func(s *CommitStatus) { s.Repository = "" }),
		"status of no commit":               status(func(s *CommitStatus) { s.SHA = "" }),
		"status without context":            status(func(s *CommitStatus) { s.Context = "" }),
		"status in an unknown state":        status(func(s *CommitStatus) { s.State = "neutral" }),
		"annotation of an unknown level":    annotated(Annotation{Path: "a", Message: "m", Level: "error"}),
		"annotation of no file":             annotated(Annotation{Message: "m", Level: "notice"}),
		"annotation that says nothing":      annotated(Annotation{Path: "a", Level: "notice"}),
		"pull requests of a path elsewhere": func(ctx context.Context, c *Client) error { _, err := c.OpenPullRequests(ctx, "a/b/c"); return err },
		"pull requests of no commit":        func(ctx context.Context, c *Client) error { _, err := c.PullRequestHas(ctx, "a/b", 1, ""); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: nothingYet}
			if err := write(t.Context(), tokenClient(t, f)); err == nil || len(f.requests) != 0 {
				t.Errorf("got %v and %d requests, want an error before any request", err, len(f.requests))
			}
		})
	}
}

func TestAMissingPermissionIsNamed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"check run": checksWrite, "deployment": deploymentsWrite, "comment": pullRequestsWrite, "commit status": statusesWrite,
	} {
		for method, message := range map[string]string{
			http.MethodGet: "Resource not accessible by personal access token", http.MethodPost: "Resource not accessible by integration",
		} {
			f := &fake{answer: func(n int, r seen, req *http.Request) (int, http.Header, string) {
				if r.method == method {
					return 403, nil, fmt.Sprintf(`{"message":%q}`, message)
				}
				return nothingYet(n, r, req)
			}}
			err := upserts()[name](t.Context(), tokenClient(t, f))
			refused, ok := errors.AsType[*APIError](err)
			if !errors.Is(err, ErrNotPermitted) || !strings.Contains(err.Error(), want) || !ok || refused.Status != 403 {
				t.Errorf("%s, refused at %s: got %v, want %v with %s", name, method, err, ErrNotPermitted, want)
			}
		}
		f := &fake{answer: func(int, seen, *http.Request) (int, http.Header, string) {
			return 403, nil, `{"message":"Repository is archived"}`
		}}
		if err := upserts()[name](t.Context(), tokenClient(t, f)); err == nil || errors.Is(err, ErrNotPermitted) {
			t.Errorf("%s: got %v of a refusal for another reason", name, err)
		}
	}
}

// TestOurDeploymentIsFoundAmongOthers is about payloads, which other tools write in other shapes.
func TestOurDeploymentIsFoundAmongOthers(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		payload string
		want    bool
	}{
		"an object":             {`{"external_id":"sha256:aa","more":1}`, true},
		"text with an object":   {`"{\"external_id\":\"sha256:aa\"}"`, true},
		"another external id":   {`{"external_id":"sha256:bb"}`, false},
		"an id of another kind": {`{"external_id":7}`, false},
		"text":                  {`"hello"`, false},
		"nothing":               {`null`, false},
		"a list":                {`[1]`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answer: func(n int, r seen, req *http.Request) (int, http.Header, string) {
					if r.method == http.MethodGet && r.path == deploymentsPath {
						return 200, nil, `[{"id":5,"sha":"` + testSHA + `","environment":"production","payload":` + row.payload + `}]`
					}
					return nothingYet(n, r, req)
				}}
				id, err := tokenClient(t, f).UpsertDeployment(t.Context(), rollingOut())
				if err != nil || (id == 5) != row.want || (len(f.to(http.MethodPost, deploymentsPath)) == 0) != row.want {
					t.Errorf("got %d, %v, want the one that is there: %t", id, err, row.want)
				}
			})
		})
	}
}

func TestAnotherAuthorsCommentIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		app    bool   // our credential: the App 4242, else a token
		user   int    // status of GET /user
		author string // of the comment with our marker
		mine   bool
	}{
		"the App's own":                  {true, 0, `"user":{"id":9},"performed_via_github_app":{"id":4242}`, true},
		"another App's":                  {true, 0, `"user":{"id":9},"performed_via_github_app":{"id":4243}`, false},
		"a stranger's":                   {true, 0, `"user":{"id":9},"performed_via_github_app":null`, false},
		"of an account that is gone":     {true, 0, `"user":null`, false},
		"the token's user's":             {false, 200, `"user":{"id":9}`, true},
		"another user's":                 {false, 200, `"user":{"id":8}`, false},
		"a ghost's":                      {false, 200, `"user":null`, false},
		"a workflow's":                   {false, 403, `"user":{"id":9,"type":"Bot"},"performed_via_github_app":{"id":15368,"slug":"github-actions"}`, true},
		"a workflow's, without its App":  {false, 403, `"user":{"id":41898282,"login":"github-actions[bot]","type":"Bot"}`, true},
		"of an App's token":              {false, 403, `"user":{"id":77,"login":"releaser[bot]","type":"Bot"},"performed_via_github_app":null`, true},
		"a stranger's, for the workflow": {false, 403, `"user":{"id":9,"login":"github-actions","type":"User"}`, false},
		"a stranger's who uses an App":   {false, 403, `"user":{"id":9,"type":"User"},"performed_via_github_app":{"id":15368,"slug":"github-actions"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{answer: func(n int, r seen, req *http.Request) (int, http.Header, string) {
				switch {
				case r.path == "/user":
					return row.user, nil, `{"id":9}`
				case r.method == http.MethodGet && r.path == commentsPath:
					return 200, nil, `[{"id":5,"body":"` + ourMarker + `\r\nLive\r\n",` + row.author + `}]`
				}
				return nothingYet(n, r, req)
			}}
			c := tokenClient(t, f)
			if row.app {
				c = appClient(t, f)
			}
			id, err := c.UpsertComment(t.Context(), sticky())
			if err != nil || (id == 5) != row.mine || (len(f.to(http.MethodPost, commentsPath)) == 0) != row.mine || len(f.to(http.MethodPatch, "")) != 0 {
				t.Errorf("got %d, %v, want the one that is there, unchanged: %t", id, err, row.mine)
			}
		})
	}
}

func TestWhatStrangersWriteFitsIn(t *testing.T) {
	t.Parallel()
	long, _ := json.Marshal(strings.Repeat("\U0001F600<!--", 9000)) // what a comment can hold at most, about
	page := `[` + strings.Repeat(`{"id":1,"number":1,"body":`+string(long)+`},`, 29) + `{"id":2,"number":2,"state":"open"}]`
	f := &fake{answer: func(n int, r seen, req *http.Request) (int, http.Header, string) {
		if r.method == http.MethodGet && (r.path == commentsPath || strings.HasSuffix(r.path, "/pulls")) && !strings.HasSuffix(r.query, "page=2&per_page=30") && !strings.Contains(r.query, "page=2") {
			return 200, headers("Etag", `"a"`), page
		}
		return nothingYet(n, r, req)
	}}
	c := tokenClient(t, f)
	if _, err := c.UpsertComment(t.Context(), sticky()); err != nil {
		t.Error(err)
	}
	if open, err := c.OpenPullRequests(t.Context(), "acme/storefront"); err != nil || len(open) != 2 {
		t.Errorf("got %+v, %v, want two", open, err)
	}
	if c.etags.bytes > maxETagBytes {
		t.Errorf("got %d bytes kept, want at most %d", c.etags.bytes, maxETagBytes)
	}
}

func TestMorePullRequestsThanAreReadAreAnError(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(n int, _ seen, _ *http.Request) (int, http.Header, string) {
		return 200, headers("Link", `<https://api.github.com/x>; rel="prev", <https://api.github.com/y>; rel="next"`), fmt.Sprintf(`[{"number":%d}]`, n)
	}}
	if open, err := tokenClient(t, f).OpenPullRequests(t.Context(), "acme/storefront"); err == nil {
		t.Errorf("got %d pull requests and no error, want no half of the truth", len(open))
	}
}

// TestTheLastFullPageHidesNothing is about a list that grows: the full page before stays as it is, and so does its ETag.
func TestTheLastFullPageHidesNothing(t *testing.T) {
	t.Parallel()
	var page []string
	for n := range pullsPerPage {
		page = append(page, fmt.Sprintf(`{"number":%d}`, n+1))
	}
	more := `[]`
	f := &fake{answer: func(_ int, r seen, req *http.Request) (int, http.Header, string) {
		switch {
		case strings.Contains(r.query, "page=2"):
			return 200, nil, more
		case req.Header.Get("If-None-Match") != "":
			return 304, nil, ""
		}
		return 200, headers("Etag", `"full"`), "[" + strings.Join(page, ",") + "]"
	}}
	c := tokenClient(t, f)
	for _, want := range []int{pullsPerPage, pullsPerPage + 1} {
		if open, err := c.OpenPullRequests(t.Context(), "acme/storefront"); err != nil || len(open) != want {
			t.Errorf("got %d pull requests, %v, want %d", len(open), err, want)
		}
		more = fmt.Sprintf(`[{"number":%d}]`, pullsPerPage+1)
	}
}

// TestACommentThatIsDeletedMeanwhileIsMadeAnew is about the moment between a look at it and its update.
func TestACommentThatIsDeletedMeanwhileIsMadeAnew(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int64{404: 11, 410: 11, 422: 0} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: func(n int, r seen, req *http.Request) (int, http.Header, string) {
				switch {
				case r.method == http.MethodPatch:
					return status, nil, `{"message":"no"}`
				case r.method == http.MethodGet && strings.HasSuffix(r.path, "/comments/5"):
					return 200, nil, `{"id":5,"body":"old"}`
				}
				return nothingYet(n, r, req)
			}}
			m := sticky()
			m.ID = 5
			id, err := tokenClient(t, f).UpsertComment(t.Context(), m)
			if (err == nil) != (want != 0) || err == nil && id != want {
				t.Errorf("%d: got %d, %v, want %d", status, id, err, want)
			}
		})
	}
}
