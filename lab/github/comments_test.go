package github

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	product "github.com/inhaul/inhaul/internal/github"
)

func TestACommentIsFoundByItsMarkerAndItsAuthor(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	permissions := `{"pull_requests":"write"}`
	mona := st.token(`{"login":"mona","permissions":` + permissions + `}`)
	for i := range 40 { // of a stranger, some with the very marker
		body := object("body", strings.Repeat("x", i)+strings.Repeat(marker, i%2)+".")
		if status, _, answer := st.ask("POST", "/repos/acme/storefront/issues/7/comments", mona, body); status != http.StatusCreated {
			t.Fatalf("got %d %s", status, answer)
		}
	}
	workflow := st.run(`{"sha":"` + testSHA + `","permissions":` + permissions + `}`)["GITHUB_TOKEN"]
	const releaser = "ghs_releaser" // that a workflow has made of an App of its owner's
	st.server.mu.Lock()
	st.server.state.Tokens[releaser] = &token{
		Value: releaser, AppID: 77, AppSlug: "releaser", Repositories: []string{"acme/storefront"},
		Permissions: map[string]string{"pull_requests": "write"}, ExpiresAt: st.server.now().Add(tokenLifetime),
	}
	st.server.mu.Unlock()
	ids := map[int64]bool{}
	for _, write := range []func() (*product.Client, error){
		func() (*product.Client, error) { return st.app(), nil },
		func() (*product.Client, error) {
			return product.NewToken(product.TokenConfig{BaseURL: st.url, Token: workflow, Pace: quick()})
		},
		func() (*product.Client, error) {
			return product.NewToken(product.TokenConfig{BaseURL: st.url, Token: releaser, Pace: quick()})
		},
		func() (*product.Client, error) {
			other := st.token(`{"login":"hubot","permissions":` + permissions + `}`)
			return product.NewToken(product.TokenConfig{BaseURL: st.url, Token: other, Pace: quick()})
		},
	} {
		var first int64
		for range 2 { // two clients: nothing is remembered
			c, err := write()
			if err != nil {
				t.Fatal(err)
			}
			id, err := c.UpsertComment(t.Context(), commenting(fmt.Sprintf("writer %d", len(ids))))
			if err != nil || first != 0 && id != first {
				t.Fatalf("got %d, %v, want %d again", id, err, first)
			}
			first = id
			if id, err = c.UpsertComment(t.Context(), commenting(fmt.Sprintf("changed by %d", len(ids)))); err != nil || id != first {
				t.Fatalf("got %d, %v, want %d changed", id, err, first)
			}
		}
		ids[first] = true
	}
	if len(ids) != 4 || len(st.server.state.Comments) != 44 {
		t.Errorf("got comments %v, of %d in all, want one of each of four", ids, len(st.server.state.Comments))
	}
	st.noViolations()
}

func TestADeletedCommentIsMadeAnew(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	c := st.app()
	first, err := c.UpsertComment(t.Context(), commenting("one"))
	if err != nil {
		t.Fatal(err)
	}
	mona := st.token(`{"login":"mona","permissions":{"issues":"write"}}`)
	if status, _, answer := st.ask("DELETE", fmt.Sprintf("/repos/acme/storefront/issues/comments/%d", first), mona, ""); status != http.StatusNoContent || len(answer) != 0 {
		t.Fatalf("got %d %s", status, answer)
	}
	known := commenting("two")
	known.ID = first
	second, err := c.UpsertComment(t.Context(), known)
	if err != nil || second == first {
		t.Fatalf("got %d, %v, want a new comment", second, err)
	}
	if again, err := c.UpsertComment(t.Context(), known); err != nil || again != second {
		t.Errorf("got %d, %v, want %d although the caller knows the old one", again, err, second)
	}
	var states []string
	for _, change := range st.changes("comment") {
		states = append(states, change.State)
	}
	if got := strings.Join(states, " "); got != "created deleted created" {
		t.Errorf("got %s, want created deleted created", got)
	}
	st.noViolations()
}
