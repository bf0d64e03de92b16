package agent

func (r Release) annotations() []Annotation { return nil }
