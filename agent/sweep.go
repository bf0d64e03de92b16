package agent

import "time"

// End is a preview that is to end without an intent that asks for it.
type End struct {
	Preview  Preview // as it was when that was decided; without a line: however it is
	Reason   EndReason
	ClosedAt time.Time // by GitHub's clock; EndClosed only
}
