package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	product "github.com/inhaul/inhaul/internal/github"
)

const (
	pullHead = "8d0b7e5f6a9a4a3cb1f9a3a6a3a6c1b1f7e2d3c4"
	marker   = "<!-- inhaul: storefront -->"
)

func deploying(state string) product.Deployment {
	return product.Deployment{
		Repository: "acme/storefront", SHA: testSHA, Environment: "production", ExternalID: "sha256:aa", Production: true,
		State: state, Description: "2 of 3 pods are ready", EnvironmentURL: "https://shop.example.com", LogURL: "https://github.example.com/run/1",
	}
}

func commenting(body string) product.Comment {
	return product.Comment{Repository: "acme/storefront", Issue: 7, Marker: marker, Body: marker + "\n" + body}
}

func stating(state string) product.CommitStatus {
	return product.CommitStatus{
		Repository: "acme/storefront", SHA: testSHA, Context: "inhaul / production", State: state, Description: "Rolling out",
	}
}

// pulled is a stand with pull request 7.
func pulled(t *testing.T) *stand {
	t.Helper()
	st := start(t)
	st.run(`{"sha":"` + testSHA + `"}`)
	st.run(`{"pullRequest":7,"headSHA":"` + pullHead + `"}`)
	return st
}

// changes are what was written of a kind, in words.
func (st *stand) changes(kind string) (list []written) {
	st.Helper()
	st.lab(http.MethodGet, "/_lab/changes?kind="+kind, "", &list)
	return list
}

// ways are the writes of the product's client, by the kind of change that makes something new.
func ways() map[string]func(*stand, *product.Client, string) (int64, error) {
	return map[string]func(*stand, *product.Client, string) (int64, error){
		"deployment": func(st *stand, c *product.Client, _ string) (int64, error) {
			return c.UpsertDeployment(st.Context(), deploying(""))
		},
		"deployment_status": func(st *stand, c *product.Client, state string) (int64, error) {
			return c.UpsertDeployment(st.Context(), deploying(map[string]string{"one": "in_progress", "two": "success"}[state]))
		},
		"comment": func(st *stand, c *product.Client, state string) (int64, error) {
			return c.UpsertComment(st.Context(), commenting(state))
		},
		"status": func(st *stand, c *product.Client, state string) (int64, error) {
			return 0, c.UpsertStatus(st.Context(), stating(map[string]string{"one": "pending", "two": "success"}[state]))
		},
	}
}

func TestEachWayIsWrittenOnce(t *testing.T) {
	t.Parallel()
	for kind, write := range ways() {
		for name, fault := range map[string]string{
			"without trouble":                       "",
			"a lost answer to the write":            `{"method":"POST","path":"storefront","drop":true,"after":true}`,
			"a bad gateway after the write":         `{"method":"POST","path":"storefront","status":502,"after":true}`,
			"a bad gateway before the write":        `{"method":"POST","path":"storefront","status":502}`,
			"two lost answers":                      `{"method":"POST","path":"storefront","drop":true,"after":true,"count":2}`,
			"trouble with the first look":           `{"method":"GET","path":"storefront/","status":500,"count":2}`,
			"a token that is rejected at the write": `{"method":"POST","path":"storefront","status":401}`,
		} {
			t.Run(kind+", "+name, func(t *testing.T) {
				t.Parallel()
				st := pulled(t)
				if fault != "" {
					st.lab("POST", "/_lab/faults", fault, nil)
				}
				var ids []int64
				for range 3 {
					id, err := write(st, st.app(), "one")
					if err != nil {
						t.Fatal(err)
					}
					ids = append(ids, id)
				}
				if list := st.changes(kind); len(list) != 1 || ids[0] != ids[1] || ids[1] != ids[2] {
					t.Errorf("got %+v with ids %d, want one write", list, ids)
				}
				st.noViolations()
			})
		}
	}
}

func TestEachWayIsKeptUpToDate(t *testing.T) {
	t.Parallel()
	for kind, write := range ways() {
		if kind == "deployment" {
			continue // cannot change
		}
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			st := pulled(t)
			c := st.app()
			for i, state := range []string{"one", "one", "two", "two", "one"} {
				if _, err := write(st, c, state); err != nil {
					t.Fatal(err)
				}
				if i == 1 {
					st.restart()
				}
			}
			if list := st.changes(kind); len(list) != 2 { // the server counts from its restart
				t.Errorf("got %+v, want one write for each change", list)
			}
			st.noViolations()
		})
	}
}

func TestADeploymentLooksAsItShould(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	asked := deploying("failure")
	asked.Description = strings.Repeat("ü", 200) + "\nnext line"
	id, err := st.app().UpsertDeployment(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	other := deploying("success")
	other.ExternalID, other.Environment, other.Production, other.Transient = "sha256:bb", "pr-7", false, true
	if otherID, err := st.app().UpsertDeployment(t.Context(), other); err != nil || otherID == id {
		t.Fatalf("got %d, %v, want another deployment", otherID, err)
	}
	var shown []struct {
		ID      int64
		Payload struct {
			ExternalID string `json:"external_id"`
		}
		Production bool `json:"production_environment"`
		Transient  bool `json:"transient_environment"`
	}
	token := st.token(`{"login":"mona","permissions":{"deployments":"read"}}`)
	st.labAs(token, "/repos/acme/storefront/deployments", &shown)
	if len(shown) != 2 || shown[1].ID != id || shown[1].Payload.ExternalID != "sha256:aa" || !shown[1].Production || shown[1].Transient || !shown[0].Transient || shown[0].Production {
		t.Errorf("got %+v, want two deployments, the newest first", shown)
	}
	var statuses []struct {
		Description    string
		LogURL         string `json:"log_url"`
		EnvironmentURL string `json:"environment_url"`
	}
	st.labAs(token, fmt.Sprintf("/repos/acme/storefront/deployments/%d/statuses", id), &statuses)
	if want := strings.Repeat("ü", 139) + "…"; len(statuses) != 1 || statuses[0].Description != want || statuses[0].LogURL != asked.LogURL || statuses[0].EnvironmentURL != asked.EnvironmentURL {
		t.Errorf("got %+v, want one status with the description cut at 140 characters", statuses)
	}
	st.noViolations()
}

func TestALongCommentIsCutAndFoundAgain(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	long := commenting("")
	long.Body = strings.Repeat("€ ", 40000) + marker
	for range 2 {
		if _, err := st.app().UpsertComment(t.Context(), long); err != nil {
			t.Fatal(err)
		}
	}
	list := st.changes("comment")
	if len(list) != 1 || !strings.HasSuffix(list[0].Text, "… truncated\n"+marker) || len(list[0].Text) > maxComment {
		t.Errorf("got %d writes, the first of %d bytes ending in %q", len(list), len(list[0].Text), list[0].Text[max(0, len(list[0].Text)-60):])
	}
	st.noViolations()
}

func TestAThousandStatusesAreAllThatACommitTakes(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	c := st.app()
	if err := c.UpsertStatus(t.Context(), stating("pending")); err != nil {
		t.Fatal(err)
	}
	st.server.mu.Lock()
	for range maxStatuses - 1 {
		st.server.state.Statuses = append(st.server.state.Statuses, st.server.state.Statuses[0])
	}
	st.server.mu.Unlock()
	if err := c.UpsertStatus(t.Context(), stating("pending")); err != nil {
		t.Errorf("got %v of what is shown already", err)
	}
	upper := stating("success")
	upper.Context = strings.ToUpper(upper.Context)
	if err := c.UpsertStatus(t.Context(), upper); !errors.Is(err, product.ErrTooManyStatuses) {
		t.Errorf("got %v, want %v", err, product.ErrTooManyStatuses)
	}
	other := stating("success")
	other.Context = "inhaul / staging"
	if err := c.UpsertStatus(t.Context(), other); err != nil {
		t.Errorf("another context: got %v", err)
	}
	st.noViolations()
}

func TestAnnotationsAreSentOnce(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]string{
		"without trouble":       "",
		"a lost answer to each": `{"path":"check-runs/","method":"PATCH","drop":true,"after":true,"count":3}`,
		"a lost creation":       `{"path":"check-runs","method":"POST","status":502,"after":true}`,
	} {
		for _, firstAt := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s, from write %d", name, firstAt), func(t *testing.T) {
				t.Parallel()
				st := pulled(t)
				if fault != "" {
					st.lab("POST", "/_lab/faults", fault, nil)
				}
				c := st.app()
				var id int64
				for i, run := range []product.CheckRun{running(), running(), completed()} {
					run.ID = id
					for n := range 60 {
						if i >= firstAt {
							run.Annotations = append(run.Annotations, product.Annotation{Path: "inhaul.yaml", Line: n, Level: "failure", Message: "no such setting"})
						}
					}
					var err error
					if id, err = c.UpsertCheckRun(t.Context(), run); err != nil {
						t.Fatal(err)
					}
				}
				if run := st.server.state.CheckRuns[0]; len(run.Output.Annotations) != 50 || run.Conclusion != "failure" {
					t.Errorf("got %d annotations of a check run that ended in %q, want 50 and failure", len(run.Output.Annotations), run.Conclusion)
				}
				st.noViolations()
			})
		}
	}
}

func TestThePageShowsDeploymentsAndComments(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	gone := deploying("inactive")
	gone.ExternalID, gone.Environment, gone.Transient, gone.Production = "sha256:bb", "pr-7", true, false
	for _, d := range []product.Deployment{deploying("failure"), gone} {
		if _, err := st.app().UpsertDeployment(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := st.app().UpsertComment(t.Context(), commenting("**Live** <script>alert(2)</script>")); err != nil {
		t.Fatal(err)
	}
	_, _, body := st.ask("GET", "/", "", "")
	page := string(body)
	for _, want := range []string{
		"<b>production</b> — 2 of 3 pods are ready", "failure", `href="https://shop.example.com"`, `href="https://github.example.com/run/1"`,
		"<b>pr-7</b>", "destroyed", "#7 Change 7", "inhaul[bot]", "&lt;script&gt;alert(2)",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "inhaul: storefront") || strings.Contains(page, "<script>alert(2)") {
		t.Error("the page shows the marker, or runs what a comment says")
	}
}

func TestTheHistoryHasEveryWriteInOrder(t *testing.T) {
	t.Parallel()
	st := pulled(t)
	c := st.app()
	check := running()
	if _, err := c.UpsertCheckRun(t.Context(), check); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"deployment", "deployment_status", "comment", "status"} {
		for _, state := range []string{"one", "two"} {
			if _, err := ways()[kind](st, c, state); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all, last []written
	st.lab("GET", "/_lab/changes", "", &all)
	var got []string
	for i, change := range all {
		if change.Number != i+1 || change.At.IsZero() || change.Repository != "acme/storefront" {
			t.Errorf("got %+v", change)
		}
		got = append(got, change.Kind+" "+change.State)
	}
	want := "pull_request open, check in_progress, deployment , deployment_status in_progress, deployment_status success, " +
		"comment created, comment updated, status pending, status success"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	st.lab("GET", "/_lab/changes?after=7", "", &last)
	if len(last) != 2 || last[0] != all[7] {
		t.Errorf("got %+v, want what came after the seventh", last)
	}
	if all[2].ExternalID != "sha256:aa" || all[2].Name != "production" || all[3].URL != "https://shop.example.com" || all[5].Issue != 7 || all[7].Name != "inhaul / production" {
		t.Errorf("got %+v, want what each is of", all)
	}
	if status, _, _ := st.ask("GET", "/_lab/changes?after=x", "", ""); status != http.StatusBadRequest {
		t.Errorf("got %d, want 400", status)
	}
}
