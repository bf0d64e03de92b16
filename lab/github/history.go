package github

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// maxCheckChanges bounds the history; the oldest go first.
const maxCheckChanges = 50_000

// checkChange is what a check run was after one write of it.
type checkChange struct {
	Number      int       `json:"number"` // from 1
	At          time.Time `json:"at"`     // by the stand-in's clock
	CheckRun    int64     `json:"checkRun"`
	Repository  string    `json:"repository"`
	HeadSHA     string    `json:"headSHA"`
	ExternalID  string    `json:"externalID"`
	Name        string    `json:"name"`
	Status      string    `json:"status"`
	Conclusion  string    `json:"conclusion"`
	Title       string    `json:"title"`
	CompletedAt time.Time `json:"completedAt,omitzero"`
}

// note adds a check run as it is now to the history. It needs Server.mu.
func (s *Server) note(run *checkRun) {
	change := checkChange{
		Number: 1, At: s.now().UTC(), CheckRun: run.ID, Repository: run.Repository, HeadSHA: run.HeadSHA, ExternalID: run.ExternalID,
		Name: run.Name, Status: run.Status, Conclusion: run.Conclusion, CompletedAt: run.CompletedAt,
	}
	if run.Output != nil {
		change.Title = run.Output.Title
	}
	if n := len(s.history); n > 0 {
		change.Number = s.history[n-1].Number + 1
	}
	s.history = append(s.history, change)
	if len(s.history) > maxCheckChanges {
		s.history = slices.Clone(s.history[maxCheckChanges/10:])
	}
	said := run.Conclusion
	if said == "" {
		said = run.Status
	}
	s.record(written{
		Kind: "check", ID: run.ID, Repository: run.Repository, SHA: run.HeadSHA, Name: run.Name, ExternalID: run.ExternalID,
		State: said, Text: change.Title, URL: run.DetailsURL,
	})
}

// written is one write to anything that is shown, or one event of a pull request.
type written struct {
	Number     int       `json:"number"` // from 1
	At         time.Time `json:"at"`     // by the stand-in's clock
	Kind       string    `json:"kind"`   // check, deployment, deployment_status, comment, status or pull_request
	ID         int64     `json:"id"`     // of a deployment's status, the deployment's
	Repository string    `json:"repository"`
	SHA        string    `json:"sha,omitempty"`
	Issue      int       `json:"issue,omitempty"` // number of the pull request
	Name       string    `json:"name,omitempty"`  // of the check or context, the environment, who comments, the action
	ExternalID string    `json:"externalID,omitempty"`
	State      string    `json:"state,omitempty"` // of a comment: created, updated or deleted
	Text       string    `json:"text,omitempty"`  // title, description or body
	URL        string    `json:"url,omitempty"`
}

// record adds a write to the history. It needs Server.mu.
func (s *Server) record(change written) {
	change.Number, change.At = 1, s.now().UTC()
	if n := len(s.writes); n > 0 {
		change.Number = s.writes[n-1].Number + 1
	}
	s.writes = append(s.writes, change)
	if len(s.writes) > maxCheckChanges {
		s.writes = slices.Clone(s.writes[maxCheckChanges/10:])
	}
}

// listChanges answers all writes since the server began: after=N, later than that one; kind=comment, of that kind.
func (s *Server) listChanges(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil && r.URL.Query().Has("after") {
		s.refuse(w, http.StatusBadRequest, "after: want a number")
		return
	}
	kind := r.URL.Query().Get("kind")
	s.mu.Lock()
	list := []written{}
	for _, change := range s.writes {
		if change.Number > after && (kind == "" || kind == change.Kind) {
			list = append(list, change)
		}
	}
	s.mu.Unlock()
	s.writeJSON(w, http.StatusOK, list)
}

// listCheckChanges answers what was written to check runs since the server began, after=N: later than that one. A
// client of GitHub has no such thing: it is for tests that have to know what anybody could ever see.
func (s *Server) listCheckChanges(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.Atoi(r.URL.Query().Get("after"))
	if err != nil && r.URL.Query().Has("after") {
		s.refuse(w, http.StatusBadRequest, "after: want a number")
		return
	}
	s.mu.Lock()
	list := []checkChange{}
	for _, change := range slices.Backward(s.history) {
		if change.Number <= after {
			break
		}
		list = append(list, change)
	}
	s.mu.Unlock()
	slices.Reverse(list)
	s.writeJSON(w, http.StatusOK, list)
}
