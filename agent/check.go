package agent

import "time"

// CheckStatus is GitHub's word for how far a check run is.
//
// https://docs.github.com/en/rest/checks/runs
type CheckStatus string

// Conclusion is GitHub's word for how a check run ended.
type Conclusion string

// The states of a check run that the agent uses.
const (
	Queued     CheckStatus = "queued"
	InProgress CheckStatus = "in_progress"
	Completed  CheckStatus = "completed"

	Success        Conclusion = "success"
	Failure        Conclusion = "failure"
	Neutral        Conclusion = "neutral"
	ActionRequired Conclusion = "action_required"
	Cancelled      Conclusion = "cancelled"
	TimedOut       Conclusion = "timed_out"
)

// Check is a release or a refusal as a check run shows it.
type Check struct {
	ID          int64  // 0 until known
	Repository  string // owner/name
	Commit      string
	Name        string // "inhaul / production"; see CheckName
	ExternalID  string // intent digest: a check run is made once per intent
	Status      CheckStatus
	Conclusion  Conclusion // set with Completed only
	Title       string
	Summary     string       // Markdown
	Text        string       // Markdown
	Annotations []Annotation // at most 50
	DetailsURL  string
	StartedAt   time.Time
	CompletedAt time.Time
}
