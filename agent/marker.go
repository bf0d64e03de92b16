package agent

import "encoding/json"

// Marker is what a check run's text tells the waiting workflow.
type Marker struct {
	Release int    `json:"release"`
	Back    int    `json:"back,omitempty"` // the release that served before; a rollback to it is the way back
	URL     string `json:"url,omitempty"`

	// What a rollback to a release brings back, which no workflow knows before.
	Restored int    `json:"restored,omitempty"` // number of the release
	Commit   string `json:"commit,omitempty"`   // whose code it runs
	Image    string `json:"image,omitempty"`    // repository@sha256:…
}

func (r Release) marker(v view) Marker {
	m := Marker{Release: r.Number, Back: r.replaced(v.Releases), URL: v.Environment.URL}
	if r.Restore != 0 {
		m.Restored, m.Commit, m.Image = r.Restore, r.Commit, r.Image
	}
	return m
}

// comment is the marker as an HTML comment: <!-- inhaul: {…} -->. The JSON
// encoder escapes ">", so nothing in it can end the comment.
func (m Marker) comment() string {
	data, err := json.Marshal(m)
	if err != nil { // numbers and a string always encode
		return ""
	}
	return "<!-- inhaul: " + string(data) + " -->"
}
