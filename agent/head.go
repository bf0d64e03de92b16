package agent

import (
	"context"
	"fmt"
)

// maxHeads is how many answers about head commits are kept in memory; some 200 kB.
const maxHeads = 1000

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

// findHead sets the head commit that m is to be shown on: the one that its intent
// names, if GitHub says that it belongs to the pull request. An error says that
// GitHub cannot be asked now.
func (a *Agent) findHead(ctx context.Context, m *message) error {
	h := m.claims()
	if m.head != "" || h.commit == "" || a.PullRequests == nil {
		return nil
	}
	a.mu.Lock()
	belongs, known := a.heads[h]
	a.mu.Unlock()
	if !known {
		var err error
		if belongs, err = a.PullRequests.HasCommit(ctx, h.repository, h.pullRequest, h.commit); err != nil {
			return fmt.Errorf("asking whether commit %s belongs to pull request %d: %w", short(h.commit), h.pullRequest, err)
		}
		a.mu.Lock()
		if len(a.heads) >= maxHeads {
			clear(a.heads)
		}
		a.heads[h] = belongs
		a.mu.Unlock()
	}
	if belongs {
		m.head = h.commit
	}
	return nil
}
