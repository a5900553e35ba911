exports.days = () => require('ms')('2 days');
