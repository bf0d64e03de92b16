package agent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// maxHeads is how many answers about head commits are kept in memory; some 200 kB.
	maxHeads = 1000

	// headPatience is how long a head commit is asked for that GitHub does not have in
	// the pull request: its list may lag behind a push for some seconds.
	headPatience = 30 * time.Second
)

// errNoHead says that GitHub may have yet to learn of a push.
var errNoHead = errors.New("it does not, which may be a push that GitHub has yet to learn of")

// head is a commit of which somebody says that it belongs to a pull request.
type head struct {
	repository  string
	pullRequest int
	commit      string
}

// claims is the head commit that m's intent names beside the one that was deployed;
// its commit is empty if there is none. A token claims none: its commit of a pull
// request is that of the merge.
func (m *message) claims() head {
	h := head{repository: m.repository}
	if r := m.release; r != nil {
		h.pullRequest, h.commit = r.Source.PullRequest, r.Source.HeadCommit
	} else if e := m.end; e != nil {
		h.pullRequest, h.commit = e.destroy.Source.PullRequest, e.destroy.Source.HeadCommit
	} else if r := m.refusal; r != nil {
		h.pullRequest, h.commit = r.PullRequest, r.HeadCommit
	}
	if h.pullRequest == 0 || h.commit == m.commit {
		h.commit = ""
	}
	return h
}

// claimed is the commit that m is about, as its intent says.
func (m *message) claimed() string { return orElse(m.claims().commit, m.commit) }

// findHead sets the commit that m is to be shown on: the head commit that its intent
// names, if GitHub says that it belongs to the pull request, and the one that was
// deployed if it says that it does not for long enough. An error says that it is not
// known yet.
func (a *Agent) findHead(ctx context.Context, m *message) error {
	h := m.claims()
	if m.head != "" || h.commit == "" || a.PullRequests == nil {
		return nil
	}
	a.mu.Lock()
	known := a.heads[h]
	a.mu.Unlock()
	if !known {
		belongs, err := a.PullRequests.HasCommit(ctx, h.repository, h.pullRequest, h.commit)
		if err == nil && !belongs && a.doubts(h) {
			err = errNoHead
		}
		switch {
		case errors.Is(err, ErrNotPermitted): // nobody will tell
		case err != nil:
			return fmt.Errorf("asking whether commit %s belongs to pull request %d: %w", short(h.commit), h.pullRequest, err)
		case belongs:
			a.confirm(h)
			known = true
		}
	}
	if m.head = m.commit; known {
		m.head = h.commit
	}
	return nil
}

// confirm notes that a commit belongs to its pull request, which stays so.
func (a *Agent) confirm(h head) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.heads) >= maxHeads {
		clear(a.heads)
	}
	a.heads[h] = true
	delete(a.doubted, h)
}

// doubts notes that GitHub does not have a commit in its pull request, and reports
// whether that may be a matter of seconds.
func (a *Agent) doubts(h head) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	since, known := a.doubted[h]
	if !known {
		if len(a.doubted) >= maxHeads {
			clear(a.doubted)
		}
		since = a.now()
		a.doubted[h] = since
	}
	return a.now().Sub(since) < headPatience
}
