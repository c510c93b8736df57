package exmdb

// The ops on objects and their properties have the numbers 30 to 59, for ever; add at the end.
var (
	OpReadProps     = Op[ReadPropsRequest, ReadPropsResponse]{OpInfo{30, "ReadProps", false}}
	OpWriteProps    = Op[WritePropsRequest, WritePropsResponse]{OpInfo{31, "WriteProps", true}}
	OpCreateMessage = Op[CreateMessageRequest, SavedMessage]{OpInfo{32, "CreateMessage", true}}
	OpReadMessage   = Op[ReadMessageRequest, ReadMessageResponse]{OpInfo{33, "ReadMessage", false}}
	OpSaveMessage   = Op[SaveMessageRequest, SavedMessage]{OpInfo{34, "SaveMessage", true}}
	OpReadValue     = Op[ReadValueRequest, ReadValueResponse]{OpInfo{35, "ReadValue", false}}
)
