package admin

// SpaceOp is an op on a space in the form in which it goes between nodes: tests ask a cluster by it what front-ends ask.
type SpaceOp struct {
	Space []byte `json:"space"`
	Op    uint16 `json:"op"`
	Mode  uint8  `json:"mode"`
	// As is who asks, and Payload the op's request, both coded.
	As      []byte `json:"as"`
	Payload []byte `json:"payload"`
	// ID is the request's: with the same one, at whichever node, it happens once.
	ID []byte `json:"id,omitempty"`
}

// SpaceOpAnswer is the coded answer, and which node owns the space.
type SpaceOpAnswer struct {
	Payload []byte `json:"payload"`
	Owner   string `json:"owner"`
	Group   uint32 `json:"group"`
}
