package guard

// overflowIDs are ids that stand for many, or none.
type overflowIDs struct{ uid, gid int64 }

// none is no id.
const none = -1
